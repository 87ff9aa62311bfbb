/**
 * Signed addresses of exports. A link names the project, the format and the viewer it was made for, and expires soon. It
 * is a credential: a client that has it needs no token. Membership is checked again when it is used.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { isId, type ProjectId, type UserId } from '../../db/ids.js';
import { MINUTE } from '../../std/time.js';
import { EXPORT_FORMATS } from './export-text.js';

export const LINK_MS = 5 * MINUTE;

const link = z.object({
  projectId: z.custom<ProjectId>((given) => typeof given === 'string' && isId('project', given)),
  viewerId: z.custom<UserId>((given) => typeof given === 'string' && isId('user', given)),
  format: z.enum(EXPORT_FORMATS),
  expiresAtMs: z.int(),
});
export type ExportLink = z.output<typeof link>;

export class ExportLinks {
  readonly #key: Uint8Array;

  /** @param secret of the installation; the key derived from it signs nothing else */
  constructor(secret: string) {
    this.#key = new Uint8Array(hkdfSync('sha256', secret, '', 'tasks-api export links', 32));
  }

  /** @returns a text for a URL */
  sign(given: ExportLink): string {
    const content = Buffer.from(JSON.stringify(given)).toString('base64url');
    return `${content}.${this.#signatureOf(content).toString('base64url')}`;
  }

  /** @returns undefined if it was not signed here, was changed or has expired */
  read(text: string, nowMs = Date.now()): ExportLink | undefined {
    const [content = '', signature = ''] = text.split('.');
    const [given, right] = [Buffer.from(signature, 'base64url'), this.#signatureOf(content)];
    if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined;
    const parsed = link.safeParse(JSON.parse(Buffer.from(content, 'base64url').toString()));
    return parsed.success && parsed.data.expiresAtMs > nowMs ? parsed.data : undefined;
  }

  #signatureOf(content: string): Buffer {
    return createHmac('sha256', this.#key).update(content).digest();
  }
}
