/** What a key's owner pays for; decides the rate limit. */
export const plans = ['free', 'cloud', 'team', 'enterprise'] as const

/** The name of one. */
export type Plan = (typeof plans)[number]

/** Requests a minute (contract, Basics). Enterprise is set per key; without that it is so high that a loop on one machine does not meet it. */
export const requestsPerMinute: Record<Plan, number> = { free: 60, cloud: 300, team: 1000, enterprise: 1_000_000 }
