/** What all processes are doing, once a second, for those who watch. */
export { Activity } from './activity.js';
export type * from './activity-message.js';
export { RELAY_EVENTS } from './process-health.js';
export type { MissSample } from './sample.js';
