fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::run(|app, event| Box::pin(redact::handle(app, event)))
}
