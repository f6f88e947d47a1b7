// For browsers: nothing here or below needs Node.
export * from './client.js'
