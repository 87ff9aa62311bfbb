/**
 * Finds the addresses of a name without the threads of `dns.lookup`: the process has few of those, and a name server
 * that does not answer would hold them for as long as the system waits. Postgres and Redis are looked up there too.
 */
import type { LookupAddress } from 'node:dns';
import { NODATA, NOTFOUND, Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { SECOND } from '../../std/time.js';

const HOSTS_FILE = '/etc/hosts';
/** To the first answer of a name server. Later tries wait longer. */
const TRY_MS = 2 * SECOND;
const TRIES = 2;

/** @param signal gives the search up @throws if there is no address, with the `code` of `node:dns` */
export type Resolve = (name: string, signal: AbortSignal) => Promise<readonly LookupAddress[]>;

/** As the hosts file says, or else the name servers of the system. Its search domains are not tried. */
export const resolveName: Resolve = async (name, signal) => {
  const listed = await listedAddresses(name);
  return listed.length > 0 ? listed : askNameServers(name, signal);
};

/** @param servers default: those of the system */
export async function askNameServers(
  name: string,
  signal: AbortSignal,
  servers?: readonly string[],
): Promise<readonly LookupAddress[]> {
  signal.throwIfAborted();
  const resolver = new Resolver({ timeout: TRY_MS, tries: TRIES });
  if (servers !== undefined) resolver.setServers(servers);
  const cancel = () => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    const [v4, v6] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    const found = [...withFamily(v4, 4), ...withFamily(v6, 6)];
    if (found.length > 0) return found;
    const reasons = [v4, v6].flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    throw reasons.find((reason) => !isUnknownName(reason)) ?? reasons[0];
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** Whether the name servers say that the name has no address, as opposed to giving no answer. */
export function isUnknownName(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === NOTFOUND || code === NODATA;
}

function withFamily(result: PromiseSettledResult<string[]>, family: 4 | 6): LookupAddress[] {
  return result.status === 'fulfilled' ? result.value.map((address) => ({ address, family })) : [];
}

async function listedAddresses(name: string): Promise<LookupAddress[]> {
  const text = await readFile(HOSTS_FILE, 'utf8').catch(() => '');
  const wanted = name.toLowerCase().replace(/\.$/, '');
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().toLowerCase().split(/\s+/);
    const family = isIP(address);
    return family !== 0 && names.includes(wanted) ? [{ address, family }] : [];
  });
}
