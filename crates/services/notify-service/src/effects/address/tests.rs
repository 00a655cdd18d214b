//! URLs as an enemy would write them.

use super::*;

#[test]
fn only_public_https_is_taken_unless_the_operator_says_so() {
    for good in
        ["https://hooks.example/a?b=c", "https://93.184.215.14:8443/", "https://[2606:4700::1]/"]
    {
        assert!(check_url(good, false).is_ok(), "{good}");
    }
    for bad in [
        "",
        "hooks.example",
        "ftp://hooks.example/",
        "file:///etc/passwd",
        "http://hooks.example/",
        "https://hooks.example:22/",
        "https://user@hooks.example/",
        "https://user:pass@hooks.example/",
        "https://hooks.example/#part",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://0/",
        "https://10.1.2.3/",
        "https://172.16.0.1/",
        "https://192.168.0.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://192.0.0.192/",
        "https://192.88.99.1/",
        "https://198.18.0.1/",
        "https://203.0.113.7/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::]/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:8.8.8.8]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[64:ff9b:1::1]/",
        "https://[2002:7f00:1::]/",
        "https://[2001:db8::1]/",
        "https://[3fff::1]/",
        "https://[100::1]/",
        "https://[5f00::1]/",
        "https://[fc00::1]/",
        "https://[fe80::1]/",
        "https://[ff02::1]/",
        "https://①②⑦.0.0.1/",
        &format!("https://hooks.example/{}", "x".repeat(2_048)),
    ] {
        assert!(check_url(bad, false).is_err(), "{bad}");
    }
}

#[test]
fn where_private_endpoints_are_allowed_plain_http_still_stays_inside() {
    for good in
        ["http://127.0.0.1:9000/a", "http://localhost:1/", "https://10.0.0.1:9/", "http://[::1]/"]
    {
        assert!(check_url(good, true).is_ok(), "{good}");
    }
    for bad in [
        "http://8.8.8.8/",
        "http://169.254.169.254/",
        "https://[fe80::1]/",
        "http://[::ffff:10.0.0.1]/",
    ] {
        assert!(check_url(bad, true).is_err(), "{bad}");
    }
}
