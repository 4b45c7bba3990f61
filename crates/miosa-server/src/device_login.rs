//! Device login: a terminal asks, a holder of a key approves, the terminal gets a key of its own.
//!
//! Kept in memory: it lives ten minutes, and a server that starts anew only makes people ask again.

use std::collections::HashMap;
use std::sync::Mutex;

use miosa_api::error::ErrorCode;

use crate::ApiError;
use crate::clock::now_ms;

/// Seconds until it is too late.
pub const EXPIRES_IN_SEC: i64 = 600;
const OPEN_MAX: usize = 1000;
/// No letters that look like others, no vowels.
const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";

/// All logins that wait.
#[derive(Debug, Default)]
pub struct DeviceLogins(Mutex<HashMap<String, Login>>);

#[derive(Debug, Clone)]
struct Login {
    user_code: String,
    client_name: String,
    expires_at: i64,
    /// Tenant of the key that approved.
    approved_for: Option<String>,
}

/// What a terminal polls with and what a person compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    /// Secret of the terminal.
    pub device_code: String,
    /// Shown to the person.
    pub user_code: String,
}

impl DeviceLogins {
    /// Begins one.
    pub fn start(&self, client_name: &str) -> Result<Codes, ApiError> {
        let mut logins = self.0.lock().expect("no panic while the lock is held");
        let now = now_ms();
        logins.retain(|_, login| login.expires_at > now);
        if logins.len() >= OPEN_MAX {
            return Err(ApiError::new(
                ErrorCode::RateLimited,
                "too many logins wait for approval",
            ));
        }
        let codes = Codes {
            device_code: hex::encode(rand::random::<[u8; 32]>()),
            user_code: user_code(),
        };
        let login = Login {
            user_code: codes.user_code.clone(),
            client_name: client_name.chars().take(100).collect(),
            expires_at: now + EXPIRES_IN_SEC * 1000,
            approved_for: None,
        };
        logins.insert(codes.device_code.clone(), login);
        Ok(codes)
    }

    /// Approves the one that shows this code, for a tenant.
    pub fn approve(&self, user_code: &str, tenant_id: &str) -> Result<(), ApiError> {
        let wanted = user_code.trim().to_ascii_uppercase();
        let mut logins = self.0.lock().expect("no panic while the lock is held");
        let login = logins
            .values_mut()
            .find(|login| login.user_code == wanted && login.expires_at > now_ms())
            .ok_or_else(|| ApiError::not_found("login that waits with the code", &wanted))?;
        login.approved_for = Some(tenant_id.to_owned());
        Ok(())
    }

    /// Tenant and name of the key to be made, once; then the login is over.
    pub fn take(&self, device_code: &str) -> Result<(String, String), ApiError> {
        let mut logins = self.0.lock().expect("no panic while the lock is held");
        let expired = || {
            ApiError::new(
                ErrorCode::ExpiredToken,
                "this login is too old or unknown; begin again",
            )
        };
        let login = logins.get(device_code).cloned().ok_or_else(expired)?;
        if login.expires_at <= now_ms() {
            logins.remove(device_code);
            return Err(expired());
        }
        let Some(tenant_id) = login.approved_for else {
            return Err(ApiError::new(
                ErrorCode::AuthorizationPending,
                "nobody has approved this login yet",
            ));
        };
        logins.remove(device_code);
        Ok((tenant_id, login.client_name))
    }
}

fn user_code() -> String {
    let letters: Vec<char> = rand::random::<[u8; 8]>()
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect();
    let (a, b): (String, String) = (letters[..4].iter().collect(), letters[4..].iter().collect());
    format!("{a}-{b}")
}

#[cfg(test)]
mod tests {
    use miosa_api::error::ErrorCode;

    use super::DeviceLogins;

    #[test]
    fn a_login_gives_a_key_once_and_only_after_approval() {
        let logins = DeviceLogins::default();
        let codes = logins.start("cli").expect("room");
        assert_eq!(
            logins
                .take(&codes.device_code)
                .expect_err("nobody approved")
                .code,
            ErrorCode::AuthorizationPending
        );
        assert!(logins.approve("XXXX-XXXX", "t").is_err());
        logins
            .approve(&codes.user_code.to_lowercase(), "t")
            .expect("the code that was shown");
        assert_eq!(
            logins.take(&codes.device_code).expect("approved"),
            ("t".to_owned(), "cli".to_owned())
        );
        assert_eq!(
            logins
                .take(&codes.device_code)
                .expect_err("a second time")
                .code,
            ErrorCode::ExpiredToken
        );
    }
}
