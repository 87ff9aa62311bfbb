/** Certificates of an authority made for one test: for servers on 127.0.0.1 and localhost, and for their clients. */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Paths of files in PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  /** Of the authority. */
  readonly ca: string;
  readonly caKey: string;
  readonly server: Pair;
  readonly client: Pair;
}

/** @param names that the server's certificate holds, as openssl writes them: `DNS:localhost,IP:127.0.0.1` */
export async function certificates(dir: string, names: string): Promise<Certificates> {
  const ca = join(dir, 'ca.crt');
  const caKey = join(dir, 'ca.key');
  openssl(`req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tests`, [
    ...['-keyout', caKey, '-out', ca],
  ]);
  const pair = async (name: string, extensions: string): Promise<Pair> => {
    const [cert, key, request, file] = ['crt', 'key', 'csr', 'ext'].map((ending) => join(dir, `${name}.${ending}`)) as [
      string,
      string,
      string,
      string,
    ];
    openssl(`req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=${name}`, [
      ...['-keyout', key, '-out', request],
    ]);
    await writeFile(file, extensions);
    openssl('x509 -req -days 2 -CAcreateserial', [
      ...['-in', request, '-CA', ca, '-CAkey', caKey, '-extfile', file, '-out', cert],
    ]);
    return { cert, key };
  };
  return {
    ca,
    caKey,
    server: await pair('server', `subjectAltName=${names}`),
    client: await pair('client', 'subjectAltName=DNS:client'),
  };
}

/** Lines of redis.conf: all that connect must show a certificate of the authority. */
export function tlsLines({ ca, server }: Certificates): readonly string[] {
  return [
    `tls-cert-file ${server.cert}`,
    `tls-key-file ${server.key}`,
    `tls-ca-cert-file ${ca}`,
    'tls-auth-clients yes',
    'tls-replication yes',
  ];
}

function openssl(command: string, paths: readonly string[]): void {
  execFileSync('openssl', [...command.split(' '), ...paths], { stdio: 'pipe' });
}
