/**
 * What compressing an entry costs and saves, by its size: `node --import tsx test/bench/compression.ts` prints Markdown. The threshold
 * in src/engine/cache/codec.ts stands where what is saved in Redis begins to be worth what each hit pays to unpack it.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { microseconds } from './timing.js';

const row = (id: number) => ({
  id: `0190${id.toString(16).padStart(8, '0')}-7c11-4b1e-9f5d-1c2f3a4b5c6d`,
  title: `Task ${id}: make it work, then make it right, then make it fast`,
  status: ['TODO', 'IN_PROGRESS', 'DONE'][id % 3],
  version: id % 17,
  updatedAt: new Date(1_700_000_000_000 + id * 1000).toISOString(),
});

console.log('| characters | stored | pack, µs | parse plain, µs | unpack and parse, µs |\n|--:|--:|--:|--:|--:|');
for (const rows of [5, 20, 40, 80, 160, 640]) {
  const text = JSON.stringify(Array.from({ length: rows }, (_, id) => row(id)));
  const pack = () => deflateRawSync(text, { level: 1 }).toString('base64');
  const packed = pack();
  const figures = [
    microseconds(pack),
    microseconds(() => JSON.parse(text)),
    microseconds(() => JSON.parse(inflateRawSync(Buffer.from(packed, 'base64')).toString())),
  ].map((us) => us.toFixed(0));
  console.log(`| ${text.length} | ${Math.round((100 * packed.length) / text.length)} % | ${figures.join(' | ')} |`);
}
