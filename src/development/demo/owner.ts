/** The owner of the demo projects, and the user of the demo token. */
export const DEMO_OWNER = 'ada';
