/** Everything this frontend asks for, `__typename` where it decides on something. The types of variables and answers are generated from these texts. */
import { graphql } from './gql/index.js';

export const TaskRow = graphql(`
  fragment TaskRow on Task {
    __typename
    id
    identifier
    title
    status
    version
    assignee {
      id
      name
    }
  }
`);

/** Why a mutation did nothing: an interface, of which a conflict shows the task as it is now. */
export const Refusal = graphql(`
  fragment Refusal on UserError {
    __typename
    code
    message
    path
    ... on ConflictError {
      task {
        ...TaskRow
      }
    }
  }
`);

export const TaskList = graphql(`
  query TaskList($project: ID!, $first: Int! = 25, $after: String) {
    tasks(first: $first, after: $after, filter: { project: { id: { eq: $project } } }) {
      edges {
        cursor
        node {
          id
          ...TaskRow
        }
      }
      pageInfo {
        startCursor
        endCursor
        hasNextPage
        hasPreviousPage
      }
    }
  }
`);

/** The same, answered again whenever the answer changes: each time in whole, or with `patch` as the difference to the answer before. */
export const LiveTaskList = graphql(`
  query LiveTaskList($project: ID!, $first: Int! = 25, $patch: Boolean! = false) @live(patch: $patch) {
    tasks(first: $first, filter: { project: { id: { eq: $project } } }) {
      edges {
        cursor
        node {
          id
          ...TaskRow
        }
      }
      pageInfo {
        startCursor
        endCursor
        hasNextPage
        hasPreviousPage
      }
    }
  }
`);

/** What every object has: a fragment on an interface. */
export const Identity = graphql(`
  fragment Identity on Node {
    id
  }
`);

/** Any object by its id: fragments on Node, and on what implements it. */
export const ObjectById = graphql(`
  query ObjectById($id: ID!) {
    node(id: $id) {
      __typename
      ...Identity
      ... on Project {
        key
      }
      ...TaskRow
    }
  }
`);

export const CreateTask = graphql(`
  mutation CreateTask($input: CreateTaskInput!) {
    createTask(input: $input) {
      task {
        id
        ...TaskRow
      }
      errors {
        ...Refusal
      }
    }
  }
`);

export const UpdateTask = graphql(`
  mutation UpdateTask($input: UpdateTaskInput!) {
    updateTask(input: $input) {
      task {
        id
        ...TaskRow
      }
      errors {
        ...Refusal
      }
    }
  }
`);

export const DeleteTask = graphql(`
  mutation DeleteTask($input: DeleteTaskInput!) {
    deleteTask(input: $input) {
      deletedTaskId
      errors {
        ...Refusal
      }
    }
  }
`);

export const TaskChanged = graphql(`
  subscription TaskChanged($project: ID) {
    taskChanged(projectId: $project) {
      type
      taskId
      task {
        id
        ...TaskRow
      }
    }
  }
`);

/** What a board shows besides tasks. The query and the subscription select the same, so that an event is all of it. */
export const ProjectHead = graphql(`
  fragment ProjectHead on Project {
    __typename
    id
    name
    archivedAt
    labels(first: 50) {
      nodes {
        id
        name
        color
      }
    }
    members(first: 50) {
      edges {
        role
        node {
          id
          name
        }
      }
    }
  }
`);

export const ProjectById = graphql(`
  query ProjectById($project: ID!) {
    project(id: $project) {
      id
      ...ProjectHead
    }
  }
`);

export const ProjectChanged = graphql(`
  subscription ProjectChanged($project: ID!) {
    projectChanged(projectId: $project) {
      changedParts
      project {
        id
        ...ProjectHead
      }
    }
  }
`);
