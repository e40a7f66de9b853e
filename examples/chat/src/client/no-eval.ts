import { z } from 'zod'

// Zod makes code at run time, which the content security policy refuses. It decides this when a schema is made, so this
// file is imported first.
z.config({ jitless: true })
