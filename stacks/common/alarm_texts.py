"""Texts of alarms: the event, its consequence for messages, and the first step."""

TEXTS = {
    "DeadLettersNotEmpty": "Messages are in {queue}: they could not be processed. They are deleted after {days} days. "
    "`coatcheck inspect` shows the reason. Fix it, then run `coatcheck redrive --subscriber NAME`.",
    "PublishDeadLettersNotEmpty": "Events or uploads are in {queue}: they were not published. They are deleted after "
    "{days} days. `coatcheck inspect` shows the reason. Fix it, then run `coatcheck redrive --publisher`.",
    "PipelineTriggerDeadLettersNotEmpty": "Events are in {queue}: their payloads did not start the pipeline. They are "
    "deleted after {days} days. `coatcheck inspect` shows the reason. Fix it, then run `coatcheck redrive --subscriber "
    "NAME --from pipeline`.",
    "UndeliveredNotEmpty": "SNS could not deliver messages to this subscriber. They are in {queue}, which deletes "
    "them after {days} days. `coatcheck inspect` shows them. Deploy the subscriber's stack again, then run `coatcheck "
    "redrive --subscriber NAME --from undelivered`.",
    "QueueLate": "The oldest message in {queue} is older than all its receives should take. Nothing is lost until "
    "the queue's retention period ends. Check ConsumeFails and ConsumeThrottled; otherwise raise "
    "maximum_concurrency.",
    "Fails": "{function} has had errors for 15 minutes. Its input is retried. After the last attempt it goes to a "
    "dead-letter queue, or its execution fails. Read the log group /aws/lambda/{function}.",
    "Throttled": "Lambda has throttled {function} for 15 minutes. Its input waits. Check the account's quota of "
    "concurrent executions, and the function's reserved concurrency.",
    "ConsumeStopped": "Messages have waited for ten minutes, and {function} was not invoked. Nothing is lost until "
    "they expire. Check its event source mapping, its reserved concurrency and its role.",
    "ServiceStopped": "Messages have waited in {queue} for ten minutes, and the service received none. Nothing is "
    "lost until they expire. Check that the service runs and may assume {role}.",
    "SubscriptionMissing": "SNS sends messages to fewer subscribers than the deployment file has. A subscriber gets "
    "nothing. List the topic's subscriptions and make the missing one again, as in the runbook.",
    "Late": "An event has been waiting for {function} for an hour. After six hours it goes to {queue}. Check the "
    "function's alarms on errors and throttles.",
    "Lost": "Lambda could not write a failed event to {queue}. The event is lost unless it is sent again. Deploy the "
    "stack again, then follow the runbook.",
    "UntrustedStore": "A message points to a bucket that this subscriber does not trust. Nothing was read. Treat it "
    "as a security event: find out who sent the message. Do not redrive it.",
    "MalformedMessage": "A message has invalid attributes or an invalid pointer. It was rejected. Find out who sent "
    "it. Do not redrive it.",
    "PayloadCorrupt": "Size or SHA-256 of a payload differ from its message. It was not passed to the application. "
    "Keep the message and the object, and compare the object's versions.",
    "ReportLost": "A sender's event bus did not accept the event about a message. The message is not affected, but its "
    "sender does not know whether it was published. Deploy the sender's stack.",
    "ExecutionsFailed": "An execution failed. Its message will not be delivered again. Fix the cause and redrive the "
    "execution within 14 days.",
    "ExecutionsTimedOut": "An execution timed out. Its message will not be delivered again. Redrive the execution "
    "within 14 days.",
    "NotDelivered": "SNS stopped retrying a message. It is in a subscriber's undelivered queue. Ask the subscriber "
    "whose UndeliveredNotEmpty alarm is on to redrive it.",
    "DeliveryLost": "A message is lost to one subscriber: SNS could not deliver it, nor write it to the undelivered "
    "queue. Deploy that subscriber's stacks, then publish again under the same ids.",
    "EventsLost": "EventBridge could not invoke {function} for 24 hours, nor write the event to {queue}. The event "
    "is lost. Deploy the stack again, then ask the sender to put the event again.",
    "UploadsLost": "EventBridge could not invoke {function} for 24 hours, nor write the event of an upload to "
    "{queue}. The upload is still in outbox/. Deploy the stack again, then copy the upload onto itself.",
    "TaskFailuresLost": "EventBridge could not write a failed task to {queue}. Its message was not processed. Deploy "
    "the stack again, then look for stopped tasks as in the runbook.",
    "ExecutionEventsLost": "EventBridge could not forward the event of a failed execution to the subscriber's bus. "
    "The execution is unaffected. Deploy the stack again, then list failed executions.",
    "PipelineEventsLost": "EventBridge could not forward the event of a pipeline execution to the subscriber's bus. "
    "The execution is unaffected. Deploy the stack again, then list the pipeline's executions.",
    "NotReplicated": "S3 could not replicate a payload into {region}. No message is affected: readers use the "
    "publisher's bucket. Deploy the publisher's stacks again.",
    "ReplicaLate": "Replication into {region} is an hour behind. No message is affected: readers use the publisher's "
    "bucket. Wait, unless it lasts for hours.",
}
"""The texts by alarm name. A name without a text has the text of its ending, such as `Fails` for `ConsumeFails`."""
