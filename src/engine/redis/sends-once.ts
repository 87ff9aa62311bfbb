/**
 * A Cluster client that sends each command to one server, once. ioredis sends a command again, to another server, on
 * MOVED, ASK, TRYAGAIN, CLUSTERDOWN and a closed connection. Its options switch off only the last two. A READ names the
 * run of the server that its lease belongs to: another server may find that name in a copy of the first one's data (a
 * full resync, a snapshot) and answer with a lease that proves nothing. A FENCE that arrives late would fence alone, in
 * a data set that has lost what came between.
 */
import { Cluster } from 'ioredis';

export class SendsOnce extends Cluster {
  /**
   * ioredis calls this for each command and pipeline that failed. It fails for good; on an error of the topology the
   * slots are read again.
   */
  override handleError(error: Error, _tries: { value?: number }, handlers: { defaults(): void }): void {
    if (isOfTopology(error)) this.refreshSlotsCache();
    handlers.defaults();
  }
}

function isOfTopology({ message }: Error): boolean {
  return /^(MOVED|ASK|CLUSTERDOWN) /.test(message) || message === 'Connection is closed.';
}
