//! Which kernels have what.

use super::has_socket_cookies;

#[test]
fn cookies_begin_with_5_12() {
    for (release, has) in
        [("5.10.0-32-amd64", false), ("5.12", true), ("6.1.0-56", true), ("6.18.44-x", true), ("", false)]
    {
        assert_eq!(has_socket_cookies(release), has, "{release}");
    }
}
