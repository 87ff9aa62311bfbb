/** Tags: the triggers in Postgres write the same text, so a change here is a change of the database. */
import { expect, test } from 'vitest';
import { CacheError, rowSetTag, tableOf, tableTag } from '../../src/engine/cache/index.js';

test('the forms of a tag are these', () => {
  expect(tableTag('tasks')).toBe('tasks');
  expect(rowSetTag('tasks', ['project_id'], ['7'])).toBe('tasks:project_id=7');
  expect(rowSetTag('task_labels', ['task_id', 'label_id'], ['a', 'b'])).toBe('task_labels:task_id,label_id=a,b');
});

test('its table can be told from it, whatever the values hold', () => {
  expect(tableOf(tableTag('tasks'))).toBe('tasks');
  expect(tableOf(rowSetTag('tasks', ['id'], ['a:b=c']))).toBe('tasks');
});

test.each(['tasks', 'Tasks', '_tasks2', 'zadań'])('%o is the name of a table', (table) => {
  expect(tableOf(rowSetTag(table, ['id'], ['1']))).toBe(table);
});

test.each(['', 'tasks:id', 'tasks=1', 'a,b', '1st', 'a b', '!7,'])('%o is not the name of a table', (table) => {
  expect(() => tableTag(table)).toThrow(CacheError);
  expect(() => rowSetTag(table, ['id'], ['1'])).toThrow(expect.objectContaining({ code: 'POLICY' }));
});
