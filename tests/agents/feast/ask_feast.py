"""Run in Feast's environment: asks it for users' features and writes JSON to standard output.

Arguments: a repository, and users for `get_online_features`; or, with `--at MOMENT` between the
two, for `get_historical_features`.
"""

import json
import sys
from typing import Any


def online(store: Any, features: list[str], users: list[str]) -> dict[str, Any]:
    rows = [{"user_id": user} for user in users]
    answer = store.get_online_features(features=features, entity_rows=rows)
    told = zip(answer.proto.metadata.feature_names.val, answer.proto.results, strict=True)
    as_of = {
        name: [each.ToMilliseconds() for each in vector.event_timestamps] for name, vector in told
    }
    return {"values": answer.to_dict(), "as_of": as_of}


def historical(store: Any, features: list[str], users: list[str], at: str) -> dict[str, Any]:
    import pandas  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415

    asked = pandas.DataFrame({"user_id": users, "event_timestamp": pandas.Timestamp(at, tz="UTC")})
    found = store.get_historical_features(entity_df=asked, features=features).to_df()
    values: dict[str, Any] = found.drop(columns="event_timestamp").to_dict("list")
    return values


def main(repository: str, *arguments: str) -> None:
    from feast import FeatureStore  # type: ignore[import-not-found]  # noqa: PLC0415  # not in ours

    store = FeatureStore(repo_path=repository)
    (view,) = store.list_feature_views()
    names = [field.name for field in view.features]
    features = [f"{view.name}:{name}" for name in names]
    match arguments:
        case ["--at", at, *users]:
            answer = {"values": historical(store, features, users, at)}
        case _:
            answer = online(store, features, list(arguments))
    sys.stdout.write(json.dumps({"features": names, **answer}))


if __name__ == "__main__":
    main(*sys.argv[1:])
