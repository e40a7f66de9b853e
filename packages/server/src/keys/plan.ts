/** Plans of keys. The plan decides the rate limit. */
export const plans = ['free', 'cloud', 'team', 'enterprise'] as const

/** Name of a plan. */
export type Plan = (typeof plans)[number]

/**
 * Requests per minute (contract, Basics). Enterprise limits are set for each key; this default is too high for a loop on
 * one machine to reach.
 */
export const requestsPerMinute: Record<Plan, number> = { free: 60, cloud: 300, team: 1000, enterprise: 1_000_000 }
