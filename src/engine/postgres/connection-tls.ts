/** TLS as libpq's parameters request it, in terms of the driver and node:tls. */
import { readFileSync } from 'node:fs';
import { type ConnectionOptions, checkServerIdentity } from 'node:tls';
import { fault } from './connection-fault.js';

const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type TlsMode = (typeof MODES)[number];

/** The TLS parameters of a URL. */
export interface TlsWish {
  readonly mode?: TlsMode;
  /** Paths of files. `system` as the root certificate: the authorities that Node trusts. */
  readonly rootCert?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly keyPassword?: string;
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3';
  /** `channel_binding=require`. */
  readonly bound?: boolean;
  readonly direct?: boolean;
}

/** `false`: no TLS. `prefer`: TLS where the server offers it. Options of node:tls: always TLS. */
export type TlsSettings = false | 'prefer' | ConnectionOptions;

export function tlsMode(name: string, text: string): TlsMode {
  const mode = MODES.find((known) => known === text);
  return mode ?? fault(`${name}: expected one of ${MODES.join(', ')}, got ${JSON.stringify(text)}`);
}

/**
 * Without a mode, TLS is used where the server offers it, as in libpq, except for a server on this computer. `allow`,
 * with which libpq tries without TLS first, is treated as `prefer`. The driver cannot bind SCRAM to the TLS channel, so
 * `channel_binding=require` becomes `verify-full`: a certificate that is valid for the host stops the same attacker.
 */
export function tlsSettings(wish: TlsWish, { host, isSocket }: { host: string; isSocket: boolean }): TlsSettings {
  if (isSocket) return false; // as libpq: a Unix socket does not leave this computer
  const mode = modeOf(wish, host);
  if (mode === 'disable') return false;
  if (mode === 'prefer' || mode === 'allow') return 'prefer';
  if ((wish.cert === undefined) !== (wish.key === undefined)) fault('sslcert, sslkey: expected both or none');
  return {
    ...(wish.minVersion && { minVersion: wish.minVersion }),
    ...(wish.rootCert && wish.rootCert !== 'system' && { ca: read('sslrootcert', wish.rootCert) }),
    ...(wish.cert && { cert: read('sslcert', wish.cert) }),
    ...(wish.key && { key: read('sslkey', wish.key) }),
    ...(wish.keyPassword && { passphrase: wish.keyPassword }),
    rejectUnauthorized: mode !== 'require',
    // The host is set here because the driver passes no name for an address, and Node would then check for "localhost".
    checkServerIdentity: (_, cert) => (mode === 'verify-full' ? checkServerIdentity(host, cert) : undefined),
  };
}

function modeOf({ mode, rootCert, bound }: TlsWish, host: string): TlsMode {
  if (bound && mode === 'disable') fault('channel_binding: require needs TLS, but sslmode is disable');
  if (bound || rootCert === 'system') return 'verify-full';
  if (mode === 'require' && rootCert !== undefined) return 'verify-ca'; // as libpq
  return mode ?? (isLoopback(host) ? 'disable' : 'prefer');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

function read(name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    return fault(`${name}: cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
}
