fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::run(|app, event| Box::pin(restore::handle(app, event)))
}
