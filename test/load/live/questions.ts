/** What each connection has open: its team's board, what is to do there, what is its own, and two tasks. */
import type { LiveData } from './data.js';
import { type LiveOptions, TASKS_PER_TEAM, TEAM_SIZE } from './options.js';
import type { ClientConnection, Question } from './protocol.js';

const BOARD = `query Board($key: String!) @live {
  project(key: $key) { id name tasks(first: 50) { nodes { id version title status assignee { id name } } } }
}`;
const TODO = `query Todo($project: ID!) @live {
  tasks(first: 20, filter: { project: { id: { eq: $project } }, status: { eq: TODO } }) { nodes { id version title } }
}`;
const MINE = `query Mine($user: ID!) @live {
  tasks(first: 20, filter: { assignee: { id: { eq: $user } } }) { nodes { id version title status } }
}`;
const PANEL = `query Panel($id: ID!) @live {
  task(id: $id) {
    id version title description status assignee { id name }
    comments(first: 10) { nodes { id body author { id name } } }
  }
}`;

/** @param tokens of the data's users, in their order; @param urls of the processes, which the connections take in turn */
export function connectionsOf({
  data,
  options,
  tokens,
  urls,
}: {
  data: LiveData;
  options: LiveOptions;
  tokens: readonly string[];
  urls: readonly string[];
}): ClientConnection[] {
  const hotEvery = Math.max(1, Math.floor(options.connections / options.hotReaders));
  return data.users.map((_, n) => ({
    url: urls[n % urls.length] as string,
    token: tokens[n] as string,
    questions: questionsOf(data, n, n % hotEvery === 0),
  }));
}

function questionsOf({ users, projects, tasks }: LiveData, n: number, readsHot: boolean): Question[] {
  const team = Math.floor(n / TEAM_SIZE);
  const at = <T>(all: readonly T[], i: number) => all[i] as T;
  const project = at(projects, team);
  const teamTask = (i: number) => at(tasks, team * TASKS_PER_TEAM + (i % TASKS_PER_TEAM));
  const second = readsHot ? at(tasks, tasks.length - 1) : teamTask(n * 7 + TASKS_PER_TEAM / 2);
  return [
    { query: BOARD, variables: { key: project.key } },
    { query: TODO, variables: { project: project.id } },
    { query: MINE, variables: { user: at(users, n).id } },
    { query: PANEL, variables: { id: teamTask(n * 7).id } },
    { query: PANEL, variables: { id: second.id } },
  ];
}
