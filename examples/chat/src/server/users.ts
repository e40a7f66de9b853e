import { randomUUID } from 'node:crypto'
import { getCookie, setCookie } from 'hono/cookie'
import { createMiddleware } from 'hono/factory'

const cookie = 'chat_user'
const uuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/
const yearSeconds = 31_536_000

/** The variables that the routes read from their context. */
export interface UserEnv {
  Variables: { userId: string }
}

/**
 * Gives each browser a user id that nobody can guess, in a cookie that no script can read. Replace this by your login:
 * anyone who removes the cookie is a new user with a new cap.
 */
export const user = createMiddleware<UserEnv>(async (context, next) => {
  const known = getCookie(context, cookie)
  const userId = known !== undefined && uuid.test(known) ? known : randomUUID()
  if (userId !== known) {
    setCookie(context, cookie, userId, {
      path: '/',
      httpOnly: true,
      secure: context.req.header('x-forwarded-proto') === 'https', // a reverse proxy sets it: this app speaks HTTP
      sameSite: 'Lax', // with Strict, a link from another site would come without the cookie, and make a new user
      maxAge: yearSeconds,
    })
  }
  context.set('userId', userId)
  await next()
})
