/** The oldest Redis that has the commands of the cache: SET with NX and GET together, and XADD with `<ms>-*`. */
const MIN_VERSION = 7;

/** The server lacks commands that the cache needs. */
export class ServerTooOld extends Error {
  override readonly name = 'ServerTooOld';
}

/** @param info the section `server` of INFO; Valkey calls itself Redis 7.2 there */
export function tooOldIn(info: string): ServerTooOld | undefined {
  const [, version, major] = /redis_version:((\d+)[\d.]*)/.exec(info) ?? [];
  if (version === undefined || Number(major) >= MIN_VERSION) return undefined;
  return new ServerTooOld(`Redis ${MIN_VERSION}.0 or newer is needed, or Valkey; this is ${version}`);
}
