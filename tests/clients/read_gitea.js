// Read a repository, a pull request, its reviews, branches and an issue by gitea-js; print them as JSON.
// Usage: read_gitea.js URL TOKEN
"use strict";
const path = require("node:path");
const { giteaApi } = require(path.join(__dirname, "..", "..", ".venv-clients", "node_modules", "gitea-js"));

async function main() {
  const [url, token] = process.argv.slice(2);
  const { repos } = giteaApi(url, { token });
  const place = ["acme", "greeter"];
  const repository = (await repos.repoGet(...place)).data;
  const pull = (await repos.repoGetCommitPullRequest(...place, "2".repeat(40))).data;
  const reviews = (await repos.repoListPullReviews(...place, pull.number, { limit: 50 })).data;
  const pages = [1, 2].map((page) => repos.repoGetPullRequestCommits(...place, pull.number, { page, limit: 50 }));
  const commits = (await Promise.all(pages)).map((one) => one.data.length);
  const status = (await repos.repoGetCombinedStatusByRef(...place, pull.head.sha)).data;
  const issue = (await repos.issueGetIssue(...place, 7)).data;
  const branches = (await repos.repoListBranches(...place)).data;
  const closed = (await repos.repoListPullRequests(...place, { state: "closed", sort: "recentupdate" })).data;
  const missing = await repos.issueGetIssue(...place, 99).catch((answer) => answer.status);
  process.stdout.write(JSON.stringify({
    repository: [repository.id, repository.full_name, repository.default_branch],
    pull: [pull.number, pull.merged, pull.merge_commit_sha, pull.head.sha, pull.user.login, pull.merged_by.login],
    reviews: reviews.map((one) => [one.user.login, one.state, one.commit_id, one.official, one.stale, one.dismissed]),
    commits, state: status.state, issue: [issue.number, issue.title, issue.state, issue.repository.full_name],
    branches: branches.map((one) => [one.name, one.protected]), closed: closed.map((one) => one.number), missing,
  }));
}

main();
