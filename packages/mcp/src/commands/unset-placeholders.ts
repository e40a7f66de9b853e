/**
 * Deletes environment variables without a value: empty ones, and placeholders such as `${user_config.api_key}`, which an
 * MCP client does not replace if the user has not configured a value.
 */
export function unsetPlaceholders(environment: NodeJS.ProcessEnv, names: readonly string[]): void {
  for (const name of names) {
    const value = environment[name]?.trim()
    if (value === '' || /^\$\{.*\}$/.test(value ?? '')) delete environment[name]
  }
}
