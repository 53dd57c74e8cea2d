// As much of Next.js's types as its example needs: the package has 200 MB. make soak builds
// the example with Next.js itself.

declare module "next" {
  export interface Metadata {
    title?: string;
  }
}

declare module "next/navigation" {
  export function useRouter(): { replace(href: string): void };
  export function usePathname(): string;
}

declare const process: { env: Record<string, string | undefined> };
