//! What is known of all items where a report looks at a sample of them.

/// What is known of all items where a report looks at a sample of them. Log-likelihoods are means per item in nats against the
/// surface measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Population {
    /// Items the model was fitted to.
    pub n_train: usize,
    /// Items held out.
    pub n_test: usize,
    /// Log-likelihood of those fitted; `None` if there are none.
    pub train_log_likelihood: Option<f64>,
    /// Log-likelihood of those held out; `None` if there are none.
    pub test_log_likelihood: Option<f64>,
    /// Log-likelihood under the [collapsed](crate::mixture::VonMisesFisherMixture::collapse) mixture, of those held out, or of
    /// those fitted where none are.
    pub single_log_likelihood: f64,
}
