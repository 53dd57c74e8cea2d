"use client";
// What only a browser has: the connection to Countersign. On the server it renders as loading.

import { CountersignProvider } from "@countersign/react";
import { useRouter } from "next/navigation";
import type { ReactNode } from "react";

export function Providers({ children }: { children: ReactNode }) {
  const router = useRouter();
  return (
    <CountersignProvider
      url={process.env.NEXT_PUBLIC_COUNTERSIGN ?? "http://localhost:8080"}
      onSignIn={({ appState }) => router.replace(typeof appState === "string" ? appState : "/")}
    >
      {children}
    </CountersignProvider>
  );
}
