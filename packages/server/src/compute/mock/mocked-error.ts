import { ApiError, isErrorCode } from '../../errors.ts'

const retryAfterSeconds = 2

/** The error with a code that a test key requests. @throws {ApiError} 422 if the API has no such code. */
export function mockedError(code: string): ApiError {
  if (!isErrorCode(code))
    throw ApiError.invalid({ 'theazo:error': [`'${code.slice(0, 40)}' is not a code of the API`] })
  const details = {
    ...(code === 'rate_limited' && { retryAfter: retryAfterSeconds }),
    ...(code === 'unprocessable_entity' && { fields: { code: ['is not valid (mocked)'] } }),
  }
  return new ApiError(code, `The requested error ${code} (mocked).`, { details })
}
