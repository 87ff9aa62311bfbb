/** What a team does besides lists and single changes: order, relations, history, trash, people, and what leaves the API. */
import { graphql } from './gql/index.js';

/** A task's own page. `descriptionHTML` is sanitised, so it can be shown as it is. */
export const TaskPage = graphql(`
  query TaskPage($id: ID!) {
    node(id: $id) {
      __typename
      ... on Task {
        id
        ...TaskRow
        number
        url
        descriptionHTML
        startDate
        dueDate
        estimate
        assignees {
          id
          name
          isMe
        }
        isBlocked
        blockedBy(first: 20) {
          nodes {
            id
            ...TaskRow
          }
        }
        blocks(first: 20) {
          nodes {
            id
            ...TaskRow
          }
        }
        relatesTo(first: 20) {
          nodes {
            id
            ...TaskRow
          }
        }
        duplicateOf {
          id
          ...TaskRow
        }
        previousIdentifiers
        history(first: 20) {
          nodes {
            id
            at
            actor {
              id
              name
            }
            changes {
              __typename
              kind
              ... on HistoryStatusChange {
                fromStatus
                toStatus
              }
              ... on HistoryRelationChange {
                relation
                relatedTask {
                  id
                  ...TaskRow
                }
              }
            }
          }
        }
      }
    }
  }
`);

/** The tasks of a board in the order that its members have given them. */
export const OrderedTasks = graphql(`
  query OrderedTasks($project: ID!) {
    tasks(first: 100, filter: { project: { id: { eq: $project } } }, orderBy: [{ field: MANUAL, direction: ASC }]) {
      nodes {
        id
        sortOrder
        ...TaskRow
      }
    }
  }
`);

export const FoundTasks = graphql(`
  query FoundTasks($project: ID!, $search: String! = "task") {
    tasks(first: 20, filter: { project: { id: { eq: $project } }, search: $search }) {
      nodes {
        id
        ...TaskRow
      }
    }
  }
`);

/** What only some pages of a project show. `webhooks` and `invitations` are for OWNERs. */
export const ProjectAdministration = graphql(`
  query ProjectAdministration($project: ID!) {
    project(id: $project) {
      id
      activity(first: 20) {
        nodes {
          id
          at
          changes {
            kind
          }
        }
      }
      trash(first: 20) {
        nodes {
          id
          identifier
          title
          expiresAt
        }
      }
      invitations(first: 20) {
        nodes {
          id
          email
          role
          expiresAt
        }
      }
      webhooks(first: 20) {
        nodes {
          id
          url
          enabled
          deliveries(first: 5) {
            nodes {
              id
              status
              attempts
              responseStatus
            }
          }
        }
      }
    }
  }
`);

export const People = graphql(`
  query People($search: String) {
    viewer {
      id
      email
      emailVerified
    }
    users(first: 20, search: $search) {
      nodes {
        id
        handle
        name
        avatarUrl
        active
      }
    }
  }
`);

export const MoveTaskInList = graphql(`
  mutation MoveTaskInList($input: MoveTaskInListInput!) {
    moveTaskInList(input: $input) {
      task {
        id
        sortOrder
      }
      errors {
        ...Refusal
      }
    }
  }
`);

export const AddTaskRelation = graphql(`
  mutation AddTaskRelation($input: AddTaskRelationInput!) {
    addTaskRelation(input: $input) {
      task {
        id
        isBlocked
      }
      relatedTask {
        id
        isBlocked
      }
      errors {
        ...Refusal
      }
    }
  }
`);

/** `results` has one entry for each task that was given, in the same order. */
export const CreateTasks = graphql(`
  mutation CreateTasks($input: CreateTasksInput!) {
    createTasks(input: $input) {
      results {
        task {
          id
          ...TaskRow
        }
        errors {
          ...Refusal
        }
      }
      errors {
        ...Refusal
      }
    }
  }
`);

export const UpdateTasks = graphql(`
  mutation UpdateTasks($input: UpdateTasksInput!) {
    updateTasks(input: $input) {
      results {
        id
        task {
          id
          estimate
          ...TaskRow
        }
        errors {
          ...Refusal
        }
      }
      errors {
        ...Refusal
      }
    }
  }
`);

export const RestoreTask = graphql(`
  mutation RestoreTask($input: RestoreTaskInput!) {
    restoreTask(input: $input) {
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

/** The token is shown only here: send it to the person, for example as a link. */
export const InviteMember = graphql(`
  mutation InviteMember($input: InviteMemberInput!) {
    inviteMember(input: $input) {
      token
      invitation {
        id
        email
      }
      errors {
        ...Refusal
      }
    }
  }
`);

/** The secret is shown only here: the receiver checks signatures with it. */
export const CreateWebhook = graphql(`
  mutation CreateWebhook($input: CreateWebhookInput!) {
    createWebhook(input: $input) {
      secret
      webhook {
        id
        url
      }
      errors {
        ...Refusal
      }
    }
  }
`);

/** The address, relative to that of the API, streams the file, and is valid until `expiresAt`. */
export const ExportProject = graphql(`
  mutation ExportProject($input: ExportProjectInput!) {
    exportProject(input: $input) {
      url
      expiresAt
      errors {
        ...Refusal
      }
    }
  }
`);
