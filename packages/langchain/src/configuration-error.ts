import { ConfigurationError } from '@theazo/core'

/** @param message names the option and the fix. */
export function configurationError(message: string): ConfigurationError {
  return new ConfigurationError(message, { code: 'configuration_error' })
}
