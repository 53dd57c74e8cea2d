// The server's address and the user who can sign in, for all tests here.
export const issuer = new URL(process.env.ISSUER)
export const {
  SUBJECT: subject, USERNAME: username, PASSWORD: password, CLIENT_SECRET: clientSecret,
  WEB_API: webAPI, FILES_API: filesAPI, CALLBACK: callback, SIGNED_OUT: signedOut,
} = process.env
export const algorithms = (process.env.ALGORITHMS ?? '').split(' ')

// signIn asks for tokens without a library.
export async function signIn() {
  const response = await fetch(new URL('/oauth/token', issuer), {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'password', client_id: 'spa', username, password, scope: 'openid profile offline_access',
    }),
  })
  if (!response.ok) throw new Error(`password grant: ${response.status} ${await response.text()}`)
  return response.json()
}
