/**
 * Hears one channel on a connection of its own, for as long as it is wanted. Published messages are not kept for
 * anybody: whenever one may have been missed, because the connection is new or gone, the listener says so.
 */
import type { Cluster, Redis } from 'ioredis';
import { openClient } from './connection.js';
import type { RedisPlace } from './place.js';
import { withTimeout } from './with-timeout.js';

/** A connection whose other end is gone without a word is noticed after so long. */
const CHECK_EVERY_MS = 5000;

export interface Listener {
  readonly waitMs: number;
  heard(text: string): void;
  gap(): void;
}

/** @returns what ends it */
export function listenTo(place: RedisPlace, channel: string, { waitMs, heard, gap }: Listener): () => void {
  const client = openClient(place, { waitMs });
  let hearing = false;
  let stopped = false;
  const lost = () => {
    if (!hearing || stopped) return; // reported once, not with every attempt to connect
    hearing = false;
    gap();
  };
  const subscribe = async () => {
    try {
      await withTimeout(subscribed(client, channel), waitMs);
      if (!hearing && !stopped) gap();
      hearing = true;
    } catch {
      lost();
      leave(client);
    }
  };
  client.on('message', (_, text: string) => {
    if (!stopped) heard(text);
  });
  client.on('ready', () => void subscribe());
  client.on('close', lost);
  // To subscribe again changes nothing, and is answered: so it is also the question whether anybody is there.
  const checking = setInterval(() => {
    if (client.status === 'ready') void subscribe();
  }, CHECK_EVERY_MS).unref();
  return () => {
    stopped = true;
    clearInterval(checking);
    client.disconnect();
  };
}

/** On a Cluster any node will do: it hears what is published on all. */
async function subscribed(client: Redis | Cluster, channel: string): Promise<void> {
  await client.subscribe(channel);
}

/** A single connection reconnects by itself; a cluster chooses another subscriber when its own has ended. */
function leave(client: Redis | Cluster): void {
  if (!client.isCluster && client.status === 'ready') (client as Redis).disconnect(true);
}
