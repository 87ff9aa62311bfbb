import type { Writer as WriterOf } from '../engine/postgres/index.js';
import type { UserId } from './ids.js';

/** The viewer on whose behalf a request writes. */
export type Writer = WriterOf<UserId>;
