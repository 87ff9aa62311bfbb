/** Where the console is served. In a file of its own, which a process that serves nothing can load. */
export const CONSOLE_PATH = '/console';
