// An axios client that sends the access token, and sends a request again, once, with a new
// token when the API has refused the one it had.

import type { Countersign } from "@countersign/browser";
import axios, { type AxiosInstance } from "axios";

declare module "axios" {
  interface AxiosRequestConfig {
    /** The token that the API has refused. */
    refused?: string;
  }
}

export function apiClient(auth: Countersign, baseURL: string): AxiosInstance {
  const client = axios.create({ baseURL, allowAbsoluteUrls: false }); // the token goes to no other server
  client.interceptors.request.use(async (config) => {
    const token = await auth.getAccessToken({ refused: config.refused });
    config.headers.set("Authorization", token && `Bearer ${token}`);
    return config;
  });
  client.interceptors.response.use(undefined, async (err) => {
    if (err.response?.status !== 401 || err.config.refused) throw err;
    const refused = String(err.config.headers.get("Authorization") ?? "").replace("Bearer ", "");
    if (!refused) throw err;
    return client.request({ ...err.config, refused });
  });
  return client;
}
