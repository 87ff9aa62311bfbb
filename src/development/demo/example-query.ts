/**
 * The first operation shown in the explorer and the console. Two levels, so that the trace shows several loads. Its
 * lines fit the editor of a 1280-pixel window.
 */
export const EXAMPLE_QUERY = `# Run it twice. The second answer says in
# extensions.cache: 0 SQL statements.
query Board {
  projects {
    nodes {
      key
      name
      stats { total overdue completedLast7Days }
      tasks(first: 5, filter: {
        status: { in: [TODO, IN_PROGRESS] }
      }) {
        nodes {
          id
          identifier
          title
          priority
          assignee { name }
          labels { nodes { name } }
          commentCount
        }
      }
    }
  }
}
`;
