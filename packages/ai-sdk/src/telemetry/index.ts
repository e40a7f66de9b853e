/**
 * A telemetry integration of the AI SDK 7: the cost, the exit code and the ids of tool calls as attributes of spans.
 *
 * @module
 */
export { theazoTelemetry, type TheazoTelemetry, type TheazoToolSpan } from './theazo-telemetry.ts'
