//! The secrets that are known by their form or by the name before them.

use super::{Place, Rule};

const URL: &[Place] = &[Place::Url];
const HEADER: &[Place] = &[Place::Header];
const ARGUMENTS: &[Place] = &[Place::Arguments];
const ENVIRONMENT: &[Place] = &[Place::Environment];
const ANYWHERE: &[Place] = &Place::ALL;

/// Places and patterns. Groups are what is replaced.
pub(super) const RULES: &[(&[Place], &str)] = &[
    // The scheme stays: it tells how somebody was let in.
    (
        HEADER,
        r"(?i)^(?:proxy-)?authorization:\s*(?:(?:basic|bearer|digest|negotiate|ntlm|token|apikey|aws4-hmac-sha256)\s+)?(.+)$",
    ),
    (HEADER, r"(?i)^(?:set-)?cookie2?:\s*(.+)$"),
    (
        HEADER,
        r"(?i)^[a-z0-9_-]*(?:api-?key|auth-?token|access-?token|csrf-?token|xsrf-?token|security-?token|session-?token|vault-?token|private-?token|id-?token|refresh-?token|secret|password|credential|x-auth|jwt|amz-security)[a-z0-9_-]*:\s*(.+)$",
    ),
    // Values of headers that are URLs, and URLs: a password before the host.
    (ANYWHERE, r"(?i)[a-z][a-z0-9+.-]*://[^/?#@:\s]*:([^/?#@\s]+)@"),
    // Query parameters and forms, by name; also where the name is written with percent signs around it.
    (
        URL,
        r"(?i)(?:^|[?&;])[^=&;#?]*(?:passw(?:or)?d|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|auth(?:orization)?[_-]?key|credential|signature|session|jwt|otp|assertion)[^=&;#?]*=([^&;#]+)",
    ),
    (URL, r"(?i)(?:^|[?&;])(?:sig|auth|authorization|key|code|pass|pin|sid)=([^&;#]+)"),
    (
        HEADER,
        r"(?i)^(?:referer|location|content-location|origin|link|x-original-u[a-z]+|x-forwarded-u[a-z]+|:path):.*?[?&;][^=&;#?]*(?:passw(?:or)?d|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|signature|session|code)[^=&;#?]*=([^&;#\s]+)",
    ),
    // `--password=x`, `--password x`, `password=x`, `PASSWORD: x`.
    (
        ARGUMENTS,
        r#"(?i)--?[a-z0-9_.-]*(?:passw(?:or)?d|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[a-z0-9_.-]*(?:=|\s+)("[^"]*"|'[^']*'|[^\s'"]+)"#,
    ),
    (
        ARGUMENTS,
        r#"(?i)\b[a-z0-9_.-]*(?:passw(?:or)?d|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[a-z0-9_.-]*["']?\s*[=:]\s*("[^"]*"|'[^']*'|[^\s'"&,}]+)"#,
    ),
    (ARGUMENTS, r#"(?i)\b(?:proxy-)?authorization\s*[:=]\s*(?:(?:basic|bearer|digest|token|apikey)\s+)?([^\s'"]+)"#),
    (ARGUMENTS, r#"(?i)\b(?:set-)?cookie\s*:\s*([^'"]+)"#),
    // `curl -u user:password`, `mysql -ppassword`, `sshpass -p password`.
    (ARGUMENTS, r#"(?:^|\s)(?:-u|--user|--proxy-user|-U)[\s=]*["']?[^\s:'"]+:([^\s'"]+)"#),
    (ARGUMENTS, r#"(?:^|[/\s])(?:mysql|mysqldump|mysqladmin|mysqlimport|mariadb|mariadb-dump)\b.*?\s-p([^\s'"]+)"#),
    (ARGUMENTS, r#"(?:^|[/\s])sshpass\s+-p\s*([^\s'"]+)"#),
    (ARGUMENTS, r#"(?:^|[/\s])redis-cli\b.*?\s-a\s+([^\s'"]+)"#),
    (
        ENVIRONMENT,
        r"(?is)^[a-z0-9_]*(?:passw(?:or)?d|passwd|passphrase|pwd_|_pwd|secret|token|api_?key|access_?key|private_?key|credential|auth)[a-z0-9_]*=(.+)$",
    ),
    // Known by their form alone.
    (ANYWHERE, r"\b(?:AKIA|ASIA|AIDA|AROA)[0-9A-Z]{16}\b"),
    (ANYWHERE, r"\bgh[pousr]_[0-9A-Za-z]{36,255}\b"),
    (ANYWHERE, r"\bgithub_pat_[0-9A-Za-z_]{22,255}\b"),
    (ANYWHERE, r"\bglpat-[0-9A-Za-z_-]{20,}"),
    (ANYWHERE, r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}"),
    (ANYWHERE, r"\bAIza[0-9A-Za-z_-]{35}"),
    (ANYWHERE, r"\b[rs]k_(?:live|test)_[0-9A-Za-z]{16,}\b"),
    (ANYWHERE, r"\bnpm_[0-9A-Za-z]{36}\b"),
    (ANYWHERE, r"\bhv[sbr]\.[0-9A-Za-z_-]{24,}"),
    (ANYWHERE, r"\beyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}(?:\.[0-9A-Za-z_-]*)?"),
    (ANYWHERE, r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"),
];

/// The rules; a test shows that each of them compiles.
pub(super) fn rules() -> Vec<Rule> {
    RULES.iter().filter_map(|(places, pattern)| Rule::new(places, pattern).ok()).collect()
}
