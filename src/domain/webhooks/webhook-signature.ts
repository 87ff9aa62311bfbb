/** Secrets and signatures of messages, as the Standard Webhooks specification defines them. */
import { createHmac, randomBytes } from 'node:crypto';
import type { DeliveryId } from '../../db/ids.js';

const SECRET_PREFIX = 'whsec_';
/** The specification asks for 24 to 64 bytes. */
const SECRET_BYTES = 32;

export function newSecret(): string {
  return `${SECRET_PREFIX}${randomBytes(SECRET_BYTES).toString('base64')}`;
}

/** The headers that a receiver verifies. @param atMs when the attempt begins */
export function signedHeaders(
  { messageId, body, secret }: { readonly messageId: DeliveryId; readonly body: string; readonly secret: string },
  atMs: number,
): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(atMs / 1000));
  const key = Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64');
  const signature = createHmac('sha256', key).update(`${messageId}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': messageId, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}
