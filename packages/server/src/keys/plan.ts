/** What a key's owner pays for; decides the rate limit. */
export const plans = ['free', 'cloud', 'team', 'enterprise'] as const

export type Plan = (typeof plans)[number]
