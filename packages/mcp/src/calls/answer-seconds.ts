/** The smallest, the largest and the default value of a setting. */
export interface Bounds {
  min: number
  max: number
  default: number
}

/** The time until a tool call answers. Many clients give up after about 60 s. */
export const answerSecondsBounds: Bounds = { min: 1, max: 3600, default: 45 }
