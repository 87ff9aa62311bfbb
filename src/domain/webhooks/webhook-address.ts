/**
 * Where messages may be sent. Whoever owns a project chooses the URL, so it must not lead into the network of the
 * server. A name is resolved for each attempt and the connection goes to the address that was checked: a name that
 * leads to another address by then (DNS rebinding) gains nothing.
 */
import { type LookupAddress, type LookupAllOptions, lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { MAX_URL_CHARS } from './webhook.table.js';

/** All of IPv6 that is assigned to the internet. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

export const NOT_PUBLIC = 'the address is not public: expected one of the internet';

/** Whether an IP address is one of the internet: not of this machine, a private network, a link or a tunnel. */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const ip = ipaddr.process(address); // an IPv4-mapped address becomes the IPv4 address
  if (ip.range() !== 'unicast') return false;
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

/** Finds all addresses of a name. */
export type Resolve = (
  hostname: string,
  options: LookupAllOptions,
  done: (error: Error | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * For `http.request`, which does not call it for addresses: resolves a name, and fails if any of its addresses is not
 * public, since a connection may try each.
 */
export function publicLookup(resolve: Resolve = lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      const refusal = error ?? refusalOf(hostname, addresses);
      const [first] = addresses ?? [];
      if (refusal || first === undefined) callback(refusal as Error, '', 0);
      else if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

function refusalOf(hostname: string, addresses: readonly LookupAddress[]): Error | undefined {
  if (addresses.length === 0) return new Error(`${hostname} has no address`);
  return addresses.every(({ address }) => isPublic(address)) ? undefined : new Error(NOT_PUBLIC);
}
