/** The product's name and version, as told to clients; `version` equals package.json's. */
export const product = { name: 'agent-bridge', version: '0.1.0', protocol: 1 } as const
