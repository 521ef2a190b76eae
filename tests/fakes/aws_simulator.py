"""IAM's policy simulator, which moto lacks: it denies what it is told to deny, in pages as IAM has them."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiohttp import web

from fakes.counted_aws import AwsCall, CountedAws

ACTIONS_A_PAGE = 40
_NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"


@dataclass
class PolicySimulator:
    """`denied` are actions that the policies do not allow. `asked` has the role and the actions of each call."""

    denied: frozenset[str] = frozenset()
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def install(self, aws: CountedAws) -> None:
        aws.extensions["iam:SimulatePrincipalPolicy"] = self._simulate

    def _simulate(self, call: AwsCall) -> web.Response:
        form = call.form
        actions = tuple(form[name] for name in sorted(form, key=_number) if name.startswith("ActionNames.member."))
        self.asked.append((form["PolicySourceArn"], actions))
        start = int(form.get("Marker", "0"))
        end = start + ACTIONS_A_PAGE
        results = "".join(
            f"<member><EvalActionName>{one}</EvalActionName><EvalResourceName>*</EvalResourceName><EvalDecision>"
            f"{'implicitDeny' if one in self.denied else 'allowed'}</EvalDecision></member>"
            for one in actions[start:end]
        )
        more = (
            f"<IsTruncated>true</IsTruncated><Marker>{end}</Marker>"
            if end < len(actions)
            else "<IsTruncated>false</IsTruncated>"
        )
        return web.Response(
            content_type="text/xml",
            text=f'<SimulatePrincipalPolicyResponse xmlns="{_NAMESPACE}"><SimulatePrincipalPolicyResult>'
            f"<EvaluationResults>{results}</EvaluationResults>{more}</SimulatePrincipalPolicyResult>"
            "<ResponseMetadata><RequestId>00000000-0000-0000-0000-000000000000</RequestId></ResponseMetadata>"
            "</SimulatePrincipalPolicyResponse>",
        )  # fmt: skip


def _number(name: str) -> int:
    last = name.rpartition(".")[2]
    return int(last) if last.isdecimal() else 0
