/** Variables that are paths of certificates and keys in PEM. Their values are the contents of the files. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** One or more certificates: of authorities, or of this client and of those that signed it. */
export const tlsCertificates = pemFile('expected certificates in PEM', (pem) => {
  for (const one of certificatesIn(pem)) new X509Certificate(one);
});

export const tlsKey = pemFile('expected a private key in PEM, without a passphrase', (pem) => {
  createPrivateKey(pem);
});

/** @param cert the client's certificate, which may be followed by others */
export function isKeyOf(key: string, cert: string): boolean {
  return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
}

/** @param check throws for a file that holds something else */
function pemFile(expected: string, check: (pem: string) => void) {
  return z.string().transform((path, context) => {
    const fault = (message: string) => {
      context.issues.push({ code: 'custom', input: path, message });
      return z.NEVER;
    };
    let pem: string;
    try {
      pem = readFileSync(path, 'utf8');
    } catch (error) {
      return fault(`expected a file that can be read (${(error as NodeJS.ErrnoException).code})`);
    }
    try {
      check(pem);
    } catch {
      return fault(expected);
    }
    return pem;
  });
}

/** @throws Error for a text without one: TLS takes it for no authorities at all */
function certificatesIn(pem: string): readonly string[] {
  const found = pem.match(/-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs);
  if (found === null) throw new Error('no certificate');
  return found;
}
