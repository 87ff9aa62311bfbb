/**
 * Where messages may be sent. The OWNERs of a project choose the URL, so it must not lead into the network of the
 * server. A name is resolved for each attempt and the connection goes to the address that was checked: a name that
 * leads to another address by then (DNS rebinding) gains nothing.
 */
import type { LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { isUnknownName, type Resolve, resolveName } from './resolve-name.js';
import { MAX_URL_CHARS } from './webhook.table.js';

/** All of IPv6 that is assigned to the internet. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

export const NOT_PUBLIC = 'the address is not public: expected one of the internet';
/** One text for both, or an OWNER could find out which names the network of the server has. */
const NOT_PUBLIC_NAME = 'the name does not exist, or one of its addresses is not public';

/** Azure serves its virtual machines there. It looks like an address of the internet, but is one of the host. */
const AZURE_HOST = '168.63.129.16';

/** Whether an IP address is one of the internet: not of this machine, a private network, a link or a tunnel. */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const ip = ipaddr.process(address); // an IPv4-mapped address becomes the IPv4 address
  if (ip.range() !== 'unicast' || ip.toString() === AZURE_HOST) return false;
  return ip instanceof ipaddr.IPv6 ? ip.match(GLOBAL_UNICAST) : true;
}

/** @returns the URL in normal form, or what is wrong with it */
export function readWebhookUrl(given: string, allowPrivate: boolean): { url: string } | { fault: string } {
  const expected = `expected an http or https URL of at most ${MAX_URL_CHARS} characters, without user and password`;
  if (given.length > MAX_URL_CHARS || !URL.canParse(given)) return { fault: expected };
  const url = new URL(given);
  url.hash = '';
  const isHttp = url.protocol === 'https:' || url.protocol === 'http:';
  if (!isHttp || url.username !== '' || url.password !== '' || url.href.length > MAX_URL_CHARS) {
    return { fault: expected };
  }
  if (!allowPrivate && leadsInside(url)) return { fault: NOT_PUBLIC };
  return { url: url.href };
}

/** Whether the host alone shows that the URL does not lead to the internet. Other names are checked when resolved. */
export function leadsInside({ hostname }: URL): boolean {
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  if (isIP(host) !== 0) return !isPublic(host);
  return host === 'localhost' || host.endsWith('.localhost');
}

export interface LookupRules {
  readonly allowPrivate: boolean;
  /** Default: the hosts file and the name servers of the system. */
  readonly resolve?: Resolve | undefined;
  readonly signal: AbortSignal;
}

/** For `http.request`, which does not call it for addresses: the addresses of a name that a message may be sent to. */
export function checkedLookup(rules: LookupRules): LookupFunction {
  return (hostname, options, callback) => {
    allowedAddresses(hostname, rules).then(
      ([first, ...others]) => {
        if (options.all === true) callback(null, [first, ...others]);
        else callback(null, first.address, first.family);
      },
      (error: Error) => callback(error, '', 0),
    );
  };
}

/** Without private addresses, every address must be public: a connection may try each. */
async function allowedAddresses(
  hostname: string,
  { allowPrivate, resolve = resolveName, signal }: LookupRules,
): Promise<[LookupAddress, ...LookupAddress[]]> {
  const [first, ...others] = await resolve(hostname, signal).catch((error: unknown) => {
    if (allowPrivate || !isUnknownName(error)) throw error;
    return [];
  });
  if (first === undefined || !(allowPrivate || [first, ...others].every(({ address }) => isPublic(address)))) {
    throw new Error(allowPrivate ? `${hostname} has no address` : NOT_PUBLIC_NAME);
  }
  return [first, ...others];
}
