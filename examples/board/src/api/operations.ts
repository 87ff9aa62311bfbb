/** Everything that the board reads and writes. The types of variables and answers are generated from these texts. */
import { graphql } from '../gql/index.js';

/** What a card shows. `version` rises with every change, so an answer says which changes it has. */
export const TaskCard = graphql(`
  fragment TaskCard on Task {
    id
    identifier
    title
    status
    priority
    version
    commentCount
    assignee {
      id
      name
    }
    labels(first: 5) {
      nodes {
        id
        name
        color
      }
    }
  }
`);

/** All of a task but its comments: what its form shows, and what a conflict compares. */
export const TaskDetails = graphql(`
  fragment TaskDetails on Task {
    ...TaskCard
    description
    creator {
      id
      name
    }
  }
`);

export const Projects = graphql(`
  query Projects @live {
    viewer {
      id
      name
    }
    projects(first: 50) {
      nodes {
        id
        key
        name
      }
    }
  }
`);

/** Who is on the project, and the labels of its tasks. */
export const ProjectHead = graphql(`
  query ProjectHead($key: String!) @live {
    project(key: $key) {
      id
      name
      archivedAt
      viewerRole
      members(first: 50) {
        edges {
          role
          node {
            id
            name
          }
        }
      }
      labels(first: 50) {
        nodes {
          id
          name
        }
      }
    }
  }
`);

/** The board: a live query, whose answer comes again whenever one of these tasks changes, joins or leaves. */
export const Board = graphql(`
  query Board($key: String!, $filter: TaskFilter!) @live {
    project(key: $key) {
      id
      tasks(first: 100, filter: $filter) {
        nodes {
          ...TaskCard
        }
        pageInfo {
          hasNextPage
        }
      }
    }
  }
`);

export const TaskPanel = graphql(`
  query TaskPanel($identifier: String!) @live {
    task(identifier: $identifier) {
      ...TaskDetails
      viewerCanUpdate
      comments(last: 50) {
        nodes {
          id
          body
          createdAt
          author {
            id
            name
          }
        }
        pageInfo {
          hasPreviousPage
        }
      }
    }
  }
`);

export const UpdateTask = graphql(`
  mutation UpdateTask($input: UpdateTaskInput!) {
    updateTask(input: $input) {
      task {
        id
        version
      }
      errors {
        __typename
        message
        ... on ConflictError {
          task {
            ...TaskDetails
          }
        }
      }
    }
  }
`);

export const CreateComment = graphql(`
  mutation CreateComment($input: CreateCommentInput!) {
    createComment(input: $input) {
      comment {
        id
      }
      errors {
        message
      }
    }
  }
`);
