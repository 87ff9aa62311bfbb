/** The client of Redis that the others use: commands of one turn in one write. */
import { Redis } from 'ioredis';
import { options } from './child.js';

/** Of what is invalidated or not: how long the others keep an answer. */
export const TTL_S = 300;

export const redis = new Redis(options.redisUrl, { enableAutoPipelining: true });
