/** Fields that are made from a row for people: addresses, HTML, times of edits; and the tasks and project of a label. */
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { markdownHtml } from '../../src/domain/markdown/markdown.js';
import { renderMarkdown } from '../../src/domain/markdown/render.js';
import { RenderThread, startThread } from '../../src/domain/markdown/render-thread.js';
import type { Context } from '../../src/graphql/context.js';
import { type TwoProcesses, twoProcesses } from '../support/mutations.js';

let w: TwoProcesses;
beforeAll(async () => {
  w = await twoProcesses(
    { createTask: 'task { id number url }', createComment: 'comment { id editedAt }', updateComment: 'comment { id }' },
    { app: { publicUrl: 'https://tasks.example.com' } },
  );
});
afterAll(() => w?.close());

test('a task has its number, and an address that follows from PUBLIC_URL or from where the server listens', async () => {
  const { task } = await w.mutate('createTask', { projectId: w.f.ops.id, title: 'Numbered' });
  expect(task).toMatchObject({ number: 7, url: 'https://tasks.example.com/tasks/OPS-7' });
  const elsewhere = await w.read('query($id: ID!) { task(id: $id) { url } }', { id: task.id });
  expect(elsewhere.task.url).toBe('http://localhost:80/tasks/OPS-7');
});

test('the tasks of a label are right on another process after each change of labels, with filter, order and count', async () => {
  const query = `query($id: ID!) { node(id: $id) { ... on Label { project { key }
    tasks(orderBy: [{ field: TITLE, direction: ASC }], filter: { status: { neq: DONE } }) { totalCount nodes { title } } } } }`;
  const titles = async () => {
    const { project, tasks } = (await w.read(query, { id: w.f.bug.id })).node;
    expect(project.key).toBe('OPS');
    expect(tasks.totalCount).toBe(tasks.nodes.length);
    return tasks.nodes.map(({ title }: { title: string }) => title);
  };
  const before = await titles();
  expect(before).toHaveLength(6);
  const id = w.f.opsTasks[0]?.id;
  await w.mutate('createTask', { projectId: w.f.ops.id, title: 'A bug', labelIds: [w.f.bug.id] });
  expect(await titles()).toEqual(['A bug', ...before]);
  const change = (document: string) => w.here.ask(`mutation { ${document} }`, { as: w.f.ada.id });
  await change(`removeLabels(input: { taskId: "${id}", labelIds: ["${w.f.bug.id}"] }) { errors { code } }`);
  expect(await titles()).toEqual(['A bug', ...before.slice(1)]);
  await change(`completeTask(input: { id: "${w.f.opsTasks[1]?.id}" }) { errors { code } }`);
  expect(await titles()).toEqual(['A bug', ...before.slice(2)]);
});

test('a comment says when it was edited, and what it says now as HTML, on another process at once', async () => {
  const taskId = w.f.opsTasks[0]?.id;
  const { comment } = await w.mutate('createComment', { taskId, body: 'It is *so*.' });
  expect(comment.editedAt).toBeNull();
  const read = async () =>
    (await w.read('query($id: ID!) { node(id: $id) { ... on Comment { editedAt updatedAt bodyHTML } } }', comment))
      .node;
  expect(await read()).toMatchObject({ editedAt: null, bodyHTML: '<p>It is <em>so</em>.</p>\n' });
  await w.mutate('updateComment', { id: comment.id, body: 'It is **not**.' });
  const edited = await read();
  expect(edited.bodyHTML).toBe('<p>It is <strong>not</strong>.</p>\n');
  expect(edited.editedAt).toBe(edited.updatedAt);
  expect(edited.editedAt).not.toBeNull();
});

test('a description without a text has no HTML, and equal texts are rendered once for all processes', async () => {
  const description = 'See https://example.com and <b>this</b>.';
  const { task } = await w.mutate('createTask', { projectId: w.f.ops.id, title: 'With HTML', description });
  const query =
    'query($id: ID!, $none: ID!) { task(id: $id) { descriptionHTML } none: task(id: $none) { descriptionHTML } }';
  const variables = { id: task.id, none: w.f.opsTasks[0]?.id };
  const here = await w.here.ask(query, { as: w.f.ada.id, variables });
  await w.here.settled();
  w.there.outcomes.length = 0;
  expect(here.data).toEqual({
    task: {
      descriptionHTML:
        '<p>See <a href="https://example.com" rel="nofollow noopener noreferrer">https://example.com</a> and ' +
        '&lt;b&gt;this&lt;/b&gt;.</p>\n',
    },
    none: { descriptionHTML: null },
  });
  expect(await w.read(query, variables)).toEqual(here.data);
  const outcomes = w.there.outcomes.filter(({ name }) => name === 'MarkdownHtml');
  expect(outcomes.map(({ kind }) => kind)).toEqual(['hit']);
});

test('HTML is charged by the length of its Markdown', async () => {
  const charged: number[] = [];
  const charge = async (points: number) => charged.push(points);
  const html = markdownHtml(w.here.cache, { render: async (text) => text });
  for (const chars of [99, 1000, 65_536]) await html({ charge } as unknown as Context, 'x'.repeat(chars));
  expect(charged).toEqual([10, 655]);
});

test('texts of more than 8192 characters are rendered in another thread, with the same result', async () => {
  const ofLength = (chars: number) => '*Long* <b>'.padEnd(chars, ' text');
  const rendered: string[] = [];
  const html = markdownHtml(w.here.cache, { render: async (text) => String(rendered.push(text)) });
  const context = {} as Context;
  expect(await html(context, ofLength(8192))).toBe(renderMarkdown(ofLength(8192)));
  expect(await html(context, ofLength(8193))).toBe('1');
  expect(rendered).toEqual([ofLength(8193)]);

  const description = ofLength(20_000);
  const { task } = await w.mutate('createTask', { projectId: w.f.ops.id, title: 'Long', description });
  const { descriptionHTML } = (await w.read('query($id: ID!) { task(id: $id) { descriptionHTML } }', task)).task;
  expect(descriptionHTML).toBe(renderMarkdown(description));
});

test('texts that wait for the thread are rejected when it is closed, and so are later ones', async () => {
  const thread = new RenderThread();
  expect(await thread.render('*a*')).toBe('<p><em>a</em></p>\n');
  const waiting = Promise.allSettled(['b', 'c', 'd'].map((text) => thread.render(text)));
  await thread.close();
  expect((await waiting).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  await expect(thread.render('e')).rejects.toThrow('closed');
});

test('a text that makes the thread fail is rejected, and the next one is rendered', async () => {
  const thread = new RenderThread();
  await expect(thread.render(null as never)).rejects.toThrow(/String/);
  expect(await thread.render('after')).toBe('<p>after</p>\n');
  await thread.close();
});

test('an answer of a thread that took too long is never that of another text', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const started: Worker[] = [];
  const thread = new RenderThread(() => {
    started.push(startThread());
    return started.at(-1) as Worker;
  });
  try {
    const slow = expect(thread.render('slow')).rejects.toThrow('not rendered within');
    const next = thread.render('next');
    vi.runOnlyPendingTimers();
    expect(started).toHaveLength(2);
    started[0]?.emit('message', '<p>slow</p>\n');
    expect(await next).toBe('<p>next</p>\n');
    await slow;
  } finally {
    vi.useRealTimers();
    await thread.close();
  }
});

test('a text for which no thread can be started is rejected, and the next one is rendered', async () => {
  let starts = 0;
  const thread = new RenderThread(() => {
    if (starts++ === 0) throw new Error('no thread can be started');
    return startThread();
  });
  await expect(thread.render('before')).rejects.toThrow('no thread can be started');
  expect(await thread.render('after')).toBe('<p>after</p>\n');
  await thread.close();
});

describe('HTML made of Markdown', () => {
  test.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '[a](javascript:alert(1))',
    '[a](JaVaScRiPt:alert(1))',
    '[a](java&#x0A;script:alert(1))',
    '[a](&#106;avascript:alert(1))',
    '[a](vbscript:x) [b](data:text/html;base64,PHNjcmlwdD4=)',
    '![a](javascript:alert(1)) ![b](data:image/svg+xml;base64,PHN2Zz4=)',
    '<javascript:alert(1)>',
    '[a]: javascript:alert(1)\n\n[a]',
    '[a](https://x.example "\\" onmouseover=alert(1) x=\\"")',
    '![" onerror="alert(1)](https://x.example/a.png)',
    '`<script>`\n\n```html" onclick="x\n<script>alert(1)</script>\n```',
    '<svg/onload=alert(1)><style>@import x</style><iframe src=//x></iframe>',
    '| <b onclick=x> |\n|-|\n| <a href="javascript:x"> |',
    '<!-- --> <![CDATA[ <script>x</script> ]]> <?php ?>',
  ])('has no script, handler or dangerous address from %j', (text) => {
    const tags = renderMarkdown(text).match(/<[^>]*>/g) ?? [];
    for (const tag of tags) {
      expect(tag).toMatch(/^<\/?(p|a|img|code|pre|table|thead|tbody|tr|th|td)\b/);
      const names = tag.replaceAll(/"[^"]*"/g, '').match(/[\w-]+(?==)/g) ?? [];
      expect(['href', 'src', 'alt', 'title', 'rel']).toEqual(expect.arrayContaining(names));
      for (const [, address] of tag.matchAll(/(?:href|src)="([^"]*)"/g)) expect(address).toMatch(/^(https?:|mailto:)/);
    }
  });

  test.each([
    '[a](//evil.example/x)',
    '![a](//evil.example/x)',
    '[a]( //evil.example)',
    '[a](///evil.example)',
    '[a](/\\evil.example)',
    '[a](/&#92;evil.example)',
    '[a](&#47;&#x2F;evil.example)',
    '[a](</\t/evil.example>)',
    '[a](</&#10;/evil.example>)',
    '[a]\n\n[a]: //evil.example',
    'see //evil.example/x',
  ])('leads to no other site by an address without a scheme: %j', (text) => {
    const origins = [...renderMarkdown(text).matchAll(/(?:href|src)="([^"]*)"/g)].map(
      ([, address]) => new URL(address as string, 'https://tasks.example.com').origin,
    );
    expect(origins.filter((origin) => origin !== 'https://tasks.example.com')).toEqual([]);
  });

  test.each(['/tasks/OPS-7', '/', '#top', 'https://x.example/a'])('links to %s', (address) => {
    expect(renderMarkdown(`[a](${address})`)).toContain(`<a href="${address}" `);
  });

  test.each([
    ['quotes', '>'.repeat(65_536)],
    ['lists', Array.from({ length: 360 }, (_, i) => `${' '.repeat(i)}- a`).join('\n')],
    ['images', '!['.repeat(32_768)],
    ['quotation marks', '"'.repeat(65_536)],
    ['cells', `|${'a|'.repeat(600)}\n|${'-|'.repeat(600)}\n${'|a\n'.repeat(20_000)}`],
  ])('takes bounded time and room for 65,536 characters of nested %s', (_, text) => {
    const before = process.cpuUsage();
    const html = renderMarkdown(text);
    const { user } = process.cpuUsage(before);
    expect(user / 1000).toBeLessThan(5000); // quadratic time would take minutes
    expect(html.length).toBeLessThanOrEqual(400_000);
  });
});
