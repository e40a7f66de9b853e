/**
 * Deletes variables that hold no value: empty ones, and those that an MCP client left as they stand in its
 * configuration, `${user_config.api_key}`, because the user has given none.
 */
export function unsetPlaceholders(environment: NodeJS.ProcessEnv, names: readonly string[]): void {
  for (const name of names) {
    const value = environment[name]?.trim()
    if (value === '' || /^\$\{.*\}$/.test(value ?? '')) delete environment[name]
  }
}
