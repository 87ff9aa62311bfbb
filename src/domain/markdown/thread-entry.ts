/** Runs in a thread of its own: answers each Markdown text with its HTML. */
import { parentPort } from 'node:worker_threads';
import { renderMarkdown } from './render.js';

parentPort?.on('message', (text: string) => parentPort?.postMessage(renderMarkdown(text)));
