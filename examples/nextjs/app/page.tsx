import { Account } from "./account";

export default function Page() {
  return (
    <main>
      <h1>Next.js and Countersign</h1>
      <Account />
    </main>
  );
}
