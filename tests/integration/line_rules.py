"""What the tables of lines refuse, by the name of the rule: part of the list in test_erp_schema."""

from typing import Any

LINE = {"contract_id": 1, "kind": "sip", "identifier": "2001"}
DRIVER = {"kind": "sip", "url": "https://sip.example/line/{identifier}"}
LINE_TABLES: dict[str, dict[str, Any]] = {"erp.line": LINE}
LINE_REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("erp.line", LINE, {"kind": "fax"}, "line_kind_known"),
    *(("erp.line", LINE, {"identifier": word}, "line_identifier_form") for word in ("", "a/b", "..", " 1", "1" * 65)),
    ("erp.line", LINE, {"own_report": "found"}, "line_own_report_known"),
    *(
        ("net.line_driver", DRIVER, changes, f"line_driver_{rule}")
        for rule, changes in (
            ("kind_known", {"kind": "fax"}),
            ("provider_no_outer_space", {"provider": " x"}),
            ("method_known", {"method": "HEAD"}),
            ("method_known", {"read_method": "DELETE"}),
            ("url_form", {"url": "ftp://sip.example/"}),
            ("url_form", {"url": "https://{identifier}.example/"}),
            ("url_form", {"url": "https://user:word@sip.example/"}),
            ("url_form", {"url": "https://sip.example/a b"}),
            ("read_url_form", {"read_url": "https://sip.example", "meanings": '{"S": "active"}'}),
            ("headers_form", {"headers": '{"a b": "x"}'}),
            ("headers_form", {"headers": '{"X": "a\\r\\nY: b"}'}),
            ("headers_form", {"headers": "[]"}),
            ("secret_form", {"secret": ""}),
            ("body_length", {"body": "x" * 8193}),
            ("codes_form", {"codes": '{"theft": "BR"}'}),
            ("statuses_range", {"expected_statuses": []}),
            ("statuses_range", {"expected_statuses": [100]}),
            ("pointer_form", {"expected_pointer": "type", "expected_text": "x"}),
            ("pointer_form", {"read_pointer": "a/b"}),
            ("expected_whole", {"expected_pointer": "/type"}),
            ("meanings_form", {"meanings": '{"S": "alive"}'}),
            ("read_whole", {"read_url": "https://sip.example/line"}),
            ("toggle_reads", {"is_toggle": True}),
            ("timeout_range", {"timeout_s": 0}),
            ("timeout_range", {"timeout_s": 61}),
            ("settle_range", {"settle_s": 3601}),
            ("ca_form", {"ca": "no certificate"}),
        )
    ),
]
